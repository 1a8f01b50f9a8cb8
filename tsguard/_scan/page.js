"use strict";
// Builds decisions.csv from the ticked cards. Earlier decisions, which this scan has obeyed, stay.
(function () {
  const cards = Array.from(document.querySelectorAll(".card"));
  const earlier = document.getElementById("earlier").textContent.trim();
  const result = document.getElementById("csv");
  const count = document.getElementById("count");
  const box = (card) => card.querySelector("input[type=checkbox]");

  function cell(text) {
    return /[",\r\n]/.test(text) || text !== text.trim() ? '"' + text.replace(/"/g, '""') + '"' : text;
  }

  function build() {
    const ticked = cards.filter((card) => box(card).checked);
    const rows = ticked.map(function (card) {
      const choice = card.querySelector("select").selectedOptions[0].dataset;
      return [card.dataset.index, choice.decision, cell(choice.label || "")].join(",");
    });
    const lines = ["index,decision,label"].concat(earlier ? [earlier] : [], rows);
    result.value = lines.join("\n") + "\n";
    count.textContent = ticked.length + " of " + cards.length + " reviewed";
  }

  function tick(checked) {
    cards.forEach(function (card) { box(card).checked = checked; });
    build();
  }

  function download() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([result.value], { type: "text/csv" }));
    link.download = "decisions.csv";
    document.body.appendChild(link);
    link.click();
    link.remove();
    setTimeout(function () { URL.revokeObjectURL(link.href); }, 1000);
  }

  document.addEventListener("change", function (event) {
    const card = event.target.closest(".card");
    if (card && event.target.tagName === "SELECT") box(card).checked = true;
    build();
  });
  document.getElementById("tick").addEventListener("click", function () { tick(true); });
  document.getElementById("untick").addEventListener("click", function () { tick(false); });
  document.getElementById("download").addEventListener("click", download);
  build();
})();
