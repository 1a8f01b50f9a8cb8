"""The baseline defenses: as estimators, and against plain code for what each one computes."""

import inspect
import re
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.cluster import KMeans
from torch import nn
from torch.nn import functional

from tsguard import attacks, load_dataset, poison
from tsguard._base import TrainingSet
from tsguard._engine import Targets
from tsguard._random import numpy_stream
from tsguard.defenses import StandardClassifier, get_defense, list_defenses
from tsguard.defenses._abl import held_up, unlearning_weights
from tsguard.defenses._cbd import reweighted
from tsguard.defenses._clustering import two_clusters
from tsguard.defenses._confident import draw_folds
from tsguard.defenses._contrast import alter, contrastive_losses
from tsguard.defenses._dbd import SemiSupervision, lowest_of_classes
from tsguard.defenses._fine_pruning import dormant_first
from tsguard.defenses._nab import nearest_centre
from tsguard.defenses._nad import attention, distillation
from tsguard.defenses._shared import FeatureReader, features_of, losses_of, lowest
from tsguard.defenses._spectral import spectral_scores
from tsguard.defenses._strip import overlay_entropy

NAMES = list_defenses()
NEED_CLEAN = ["fine_pruning", "nad"]
each_defense = pytest.mark.parametrize("name", NAMES)


def make(name, n_epochs=3, **parameters):
    if name == "confident":
        pytest.importorskip("cleanlab")
        parameters = {"n_folds": 2} | parameters
    if name in NEED_CLEAN:
        parameters = {"clean_indices": [0, 1]} | parameters
    settings = {"backbone": "fcn", "n_epochs": n_epochs, "random_state": 0} | parameters
    return get_defense(name, **settings)


@pytest.fixture(scope="module")
def poisoned():
    """GunPoint, every fifth step, a tenth of it poisoned with a patch."""
    data = load_dataset("GunPoint")
    X = data.X_train[:, :, ::5]
    return poison(X, data.y_train, attacks.PatchTrigger(), rate=0.1, target="1", random_state=0)


@pytest.fixture(scope="module")
def trained(waves):
    """A network with something learned, and its inputs and codes."""
    X, y = waves
    classifier = StandardClassifier("fcn", n_epochs=4, random_state=0).fit(X, y)
    codes = np.searchsorted(classifier.classes_, y)
    return classifier.network_, torch.from_numpy(classifier._scale(X)), codes


def batch_of(n_samples=9, n_classes=4, seed=0):
    """Return logits, codes as NumPy arrays, and everything an objective is called with."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n_samples, n_classes)).astype(np.float32)
    codes = rng.integers(n_classes, size=n_samples)
    targets = Targets.from_labels(codes, torch.device("cpu"))
    arguments = nn.Identity(), torch.from_numpy(logits), torch.arange(n_samples), targets
    return logits.astype(np.float64), codes, arguments


def cross_entropy(logits, codes):
    """Return the losses of the samples, by the definition."""
    return np.array(
        [
            np.log(np.exp(row).sum()) - row[code]
            for row, code in zip(logits.astype(np.float64), codes, strict=True)
        ]
    )


# -- as estimators ------------------------------------------------------------------------------


@each_defense
def test_fits_poisoned_data_the_same_way_twice(name, poisoned):
    first = make(name).fit(poisoned.X, poisoned.y)
    second = clone(first).fit(poisoned.X, poisoned.y)
    probabilities = first.predict_proba(poisoned.X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(probabilities, second.predict_proba(poisoned.X))
    assert set(first.predict(poisoned.X)) <= {"1", "2"}
    assert first.history_["accuracy"].between(0, 1).all()
    if name not in ("standard", "cbd", *NEED_CLEAN):
        assert first.suspect_mask_.shape == first.suspicion_.shape == (50,)
        assert first.suspect_mask_.dtype == bool
        assert first.suspicion_.dtype == np.float64
        assert np.isfinite(first.suspicion_).all()
        np.testing.assert_array_equal(first.suspicion_, second.suspicion_)


@each_defense
def test_learns_what_is_clean(name, waves):
    X, y = waves
    classifier = make(name, n_epochs=16)
    if name in NEED_CLEAN:
        classifier.set_params(clean_indices=range(12))
    assert classifier.fit(X, y).score(X, y) > 0.8


@each_defense
@pytest.mark.parametrize("case", ["one_member", "two", "short", "duplicates"])
def test_hard_data_does_not_crash(name, case):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(15, 1, 12)), np.arange(15) % 3
    if case == "one_member":
        y[y == 2] = 1
        y[5] = 2
    elif case == "two":
        X, y = X[:2], y[:2]
    elif case == "short":
        X = X[:, :, :1]
    elif case == "duplicates":
        X[:] = X[0]
    classifier = make(name, n_epochs=1).fit(X, y)
    assert set(classifier.predict(X)) <= set(y)


@pytest.mark.parametrize("backbone", ["inceptiontime", "resnet1d", "own"])
@pytest.mark.parametrize("name", ["dbd", "fine_pruning", "nad", "spectral"])
def test_every_backbone_can_be_defended(name, backbone, waves):
    X, y = waves[0][:12], waves[1][:12]
    if backbone == "own":
        backbone = nn.Sequential(
            nn.Conv1d(2, 5, 3),
            nn.ReLU(),
            nn.AdaptiveAvgPool1d(1),
            nn.Flatten(),
            nn.Sequential(nn.Dropout(0.1), nn.Linear(5, 3)),
        )
    classifier = make(name, n_epochs=1, backbone=backbone).fit(X, y)
    assert classifier.predict(X).shape == (12,)


@each_defense
def test_documented_defaults_are_the_real_ones(name):
    kind = type(get_defense(name))
    documented = dict(re.findall(r"^ {4}(\w+) : .*default=(.+)$", kind.__doc__, flags=re.M))
    real = {key: p.default for key, p in inspect.signature(kind).parameters.items()}
    assert {key: eval(text) for key, text in documented.items()} == real
    shared = inspect.signature(StandardClassifier).parameters
    assert {key: real[key] for key in shared} == {key: p.default for key, p in shared.items()}


def test_registry_knows_every_defense_and_its_needs():
    assert sorted(NAMES) == NAMES
    need = [name for name in NAMES if getattr(get_defense(name), "needs_clean_subset", False)]
    assert need == NEED_CLEAN
    assert isinstance(get_defense("standard", n_epochs=7), StandardClassifier)


@pytest.mark.parametrize(
    ("name", "parameters", "error", "message"),
    [
        ("spectrall", {}, ValueError, "defense must be one of .* did you mean 'spectral'"),
        (3, {}, ValueError, "defense must be one of .*, got 3; choose one of these"),
        ("abl", {"gama": 1}, TypeError, "parameters of defense 'abl' must be among .* got 'gama'"),
    ],
)
def test_registry_refuses(name, parameters, error, message):
    with pytest.raises(error, match=message):
        get_defense(name, **parameters)


@pytest.mark.parametrize(
    ("name", "changes", "error", "message"),
    [
        ("abl", {"variant": "gla"}, ValueError, "The 'variant' parameter of ABLClassifier must be"),
        ("abl", {"gamma": -1}, ValueError, "The 'gamma' parameter"),
        ("abl", {"isolation_rate": 0}, ValueError, "The 'isolation_rate' parameter"),
        ("abl", {"unlearning_rate": "fast"}, ValueError, "The 'unlearning_rate' parameter"),
        ("cbd", {"confounder_epochs": -0.1}, ValueError, "The 'confounder_epochs' parameter"),
        ("clustering", {"max_share": 0.7}, ValueError, "The 'max_share' parameter"),
        ("clustering", {"n_components": 0}, ValueError, "The 'n_components' parameter"),
        ("confident", {"n_folds": 1}, ValueError, "The 'n_folds' parameter"),
        ("dbd", {"trusted_share": 0}, ValueError, "The 'trusted_share' parameter"),
        ("dbd", {"consistency": -1}, ValueError, "The 'consistency' parameter"),
        ("fine_pruning", {"clean_indices": None}, ValueError, "surely clean, got None; look"),
        ("fine_pruning", {"clean_indices": [3]}, ValueError, r"at least two .* shape \(1,\)"),
        ("fine_pruning", {"accuracy_drop": 2}, ValueError, "The 'accuracy_drop' parameter"),
        ("nad", {"clean_indices": [0, 60]}, ValueError, "0 to 59, got 60; correct"),
        ("nad", {"clean_indices": [4, 4]}, ValueError, "got an index that comes twice"),
        ("nad", {"clean_indices": [True, False]}, TypeError, "must be integers, got dtype bool"),
        ("nad", {"power": 0}, ValueError, "The 'power' parameter"),
        ("nab", {"stamp_length": 1.5}, ValueError, "The 'stamp_length' parameter"),
        ("nab", {"stamp_value": np.inf}, ValueError, "The 'stamp_value' parameter"),
        ("spectral", {"drop_rate": 1}, ValueError, "The 'drop_rate' parameter"),
        ("strip", {"n_overlays": 0}, ValueError, "The 'n_overlays' parameter"),
        ("strip", {"drop_rate": 1.0}, ValueError, "The 'drop_rate' parameter"),
    ],
)
def test_bad_parameters(name, changes, error, message, waves):
    with pytest.raises(error, match=message):
        make(name, **changes).fit(*waves)


# -- shared -------------------------------------------------------------------------------------


def test_penultimate_features_are_what_the_last_layer_reads(trained):
    network, inputs, _ = trained
    features = features_of(network.backbone, inputs)
    logits = network(inputs).detach().numpy()
    last = network.backbone.fc
    expected = features @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    np.testing.assert_allclose(expected, logits, atol=1e-4)
    assert FeatureReader(network.backbone, inputs[:2]).layer == "gap"


def test_penultimate_layer_of_a_network_that_averages_by_itself():
    class Averaging(nn.Module):
        def __init__(self):
            super().__init__()
            self.maps = nn.Conv1d(1, 6, 3)
            self.out = nn.Linear(6, 2)

        def forward(self, x):
            return self.out(self.maps(x).mean(dim=2))

    network, inputs = Averaging().eval(), torch.randn(4, 1, 10)
    np.testing.assert_allclose(
        features_of(network, inputs), network.maps(inputs).mean(dim=2).detach(), atol=1e-6
    )


def test_losses_and_the_lowest_of_them(trained):
    network, inputs, codes = trained
    losses = cross_entropy(network(inputs).detach().numpy(), codes)
    data = type("Data", (), {"inputs": inputs, "codes": codes})
    np.testing.assert_allclose(losses_of(network, data), losses, atol=1e-4)
    best = sorted(range(60), key=lambda i: losses[i])[:6]
    assert sorted(np.flatnonzero(lowest(losses, 0.1))) == sorted(best)
    assert lowest(losses, 0.001).sum() == 1


def test_samples_left_out_keep_their_last_record(waves):
    X, y = waves
    classifier = make("nad").fit(X, y)
    assert len(classifier.history_) == 3 + 1 + 2
    assert list(classifier.history_["phase"])[2:] == [
        "training",
        "teacher",
        "distillation",
        "distillation",
    ]
    # Only the two clean rows are seen again, so the accuracy moves by two samples at most.
    assert abs(classifier.history_["accuracy"].diff()[3:]).max() <= 2 / 60 + 1e-9


def test_a_filter_trains_anew_on_what_it_keeps(waves, monkeypatch):
    X, y = waves
    monkeypatch.setattr(
        "tsguard.defenses._spectral.spectral_scores", lambda features: np.arange(len(features))
    )
    filtered = make("spectral", drop_rate=0.4).fit(X, y)
    dropped = np.zeros(60, dtype=bool)
    for label in set(y):
        dropped[np.flatnonzero(y == label)[12:]] = True
    np.testing.assert_array_equal(filtered.suspect_mask_, dropped)
    plain = StandardClassifier("fcn", n_epochs=3, random_state=0).fit(X, y)
    codes = np.searchsorted(plain.classes_, y)
    kept = TrainingSet(torch.from_numpy(plain._scale(X))[~dropped], codes[~dropped], 3)
    plain._train(kept, X, seed=0)
    np.testing.assert_allclose(filtered.predict_proba(X), plain.predict_proba(X), atol=1e-6)
    assert list(filtered.history_["phase"]) == ["training"] * 3 + ["retraining"] * 3


def test_a_filter_never_drops_a_whole_class(waves):
    X, y = waves
    filtered = make("strip", n_overlays=2, drop_rate=0.999).fit(X, y)
    kept = ~filtered.suspect_mask_
    assert 3 <= kept.sum() <= 4
    for label in set(y):
        members = np.flatnonzero(y == label)
        assert kept[members[filtered.suspicion_[members].argmin()]]


# -- against plain code -------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.5, 3.0])
def test_abl_losses_have_one_sign_for_the_whole_batch(gamma):
    logits, codes, arguments = batch_of()
    mean = cross_entropy(logits, codes).mean()
    assert 0.5 < mean < 3.0
    ascent, records = held_up("lga", gamma)(*arguments)
    flooded, _ = held_up("flooding", gamma)(*arguments)
    np.testing.assert_allclose(ascent, mean if mean > gamma else -mean, rtol=1e-5)
    np.testing.assert_allclose(flooded, abs(mean - gamma) + gamma, rtol=1e-5)
    np.testing.assert_allclose(records["main_loss"], cross_entropy(logits, codes), rtol=1e-5)


def test_abl_isolates_the_lowest_losses_and_unlearns_them(waves):
    X, y = waves
    classifier = make("abl", isolation_rate=0.1).fit(X, y)
    assert sorted(np.argsort(-classifier.suspicion_)[:6]) == sorted(
        np.flatnonzero(classifier.suspect_mask_)
    )
    assert set(classifier.history_["phase"]) == {"isolation", "training", "unlearning"}
    losses = np.random.default_rng(0).exponential(size=60)
    isolated = classifier.suspect_mask_
    np.testing.assert_allclose(
        (unlearning_weights(isolated) * losses).mean(),
        losses[~isolated].mean() - losses[isolated].mean(),
        rtol=1e-6,
    )


def test_cbd_weighs_by_the_confounded_loss():
    logits, codes, arguments = batch_of()
    confounded = np.random.default_rng(1).exponential(size=len(codes))
    losses = cross_entropy(logits, codes)
    weights = confounded / (losses + confounded)
    weights = weights / weights.mean()
    loss, _ = reweighted(torch.from_numpy(confounded))(*arguments)
    np.testing.assert_allclose(loss, (weights * losses).mean(), rtol=1e-5)


def test_cbd_lets_no_gradient_through_its_weights():
    _, codes, (network, logits, indices, targets) = batch_of()
    logits.requires_grad_()
    loss, _ = reweighted(torch.ones(len(codes)))(network, logits, indices, targets)
    (gradient,) = torch.autograd.grad(loss, logits)
    losses = functional.cross_entropy(logits, targets.given, reduction="none").detach()
    weights = 1 / (losses + 1)
    by_hand = weights / weights.sum()
    expected = by_hand[:, None] * (
        logits.softmax(dim=1) - functional.one_hot(targets.given, logits.shape[1])
    )
    np.testing.assert_allclose(gradient, expected.detach(), atol=1e-6)


def test_nab_nearest_centre():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20, 3)) + 4
    codes, trusted = np.arange(20) % 3, rng.random(20) < 0.6
    trusted[codes == 2] = False
    unit = [row / np.sqrt((row**2).sum()) for row in features]
    expected = []
    for row in unit:
        distances = []
        for code in range(3):
            chosen = [u for u, c, t in zip(unit, codes, trusted, strict=True) if c == code and t]
            chosen = chosen or [u for u, c in zip(unit, codes, strict=True) if c == code]
            distances.append(np.sqrt(((row - np.mean(chosen, axis=0)) ** 2).sum()))
        expected.append(int(np.argmin(distances)))
    np.testing.assert_array_equal(nearest_centre(features, codes, trusted), expected)


def test_nab_stamps_before_it_predicts_and_where_labels_differ(waves):
    X, y = waves
    classifier = make("nab", stamp_length=0.25, stamp_value=2.0).fit(X, y)
    elsewhere = X.copy()
    elsewhere[:, :, -6:] = 100.0
    np.testing.assert_array_equal(classifier.predict_proba(X), classifier.predict_proba(elsewhere))
    elsewhere[:, :, -7] = 100.0
    assert (classifier.predict_proba(X) != classifier.predict_proba(elsewhere)).any()
    rows = np.arange(60) < 2
    stamped = classifier._stamp(torch.from_numpy(X), rows).numpy()
    assert (stamped[:2, :, -6:] == 2.0).all()
    np.testing.assert_array_equal(stamped[2:], X[2:])
    np.testing.assert_array_equal(stamped[:2, :, :-6], X[:2, :, :-6])
    trusted = ~classifier.suspect_mask_
    assert (classifier.recovered_labels_[trusted] == y[trusted]).all()


def test_dbd_contrast_against_a_loop():
    embedded = np.random.default_rng(0).normal(size=(8, 5))
    unit = embedded / np.linalg.norm(embedded, axis=1, keepdims=True)
    losses = []
    for i in range(8):
        scores = {j: np.exp(unit[i] @ unit[j] / 0.5) for j in range(8) if j != i}
        losses.append(-np.log(scores[(i + 4) % 8] / sum(scores.values())))
    expected = (np.array(losses[:4]) + np.array(losses[4:])) / 2
    np.testing.assert_allclose(contrastive_losses(torch.from_numpy(embedded), 0.5), expected)


@pytest.mark.parametrize("n_timepoints", [1, 2, 40])
def test_dbd_views_keep_shape_and_range(n_timepoints):
    batch = torch.linspace(-1, 1, n_timepoints).expand(500, 2, -1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        views = alter(batch)
    assert views.shape == batch.shape
    assert torch.isfinite(views).all()
    assert views.abs().max() < 1.8
    if n_timepoints == 40:  # a window of a rising line rises, and is neither end to end nor a bit
        rise = views[:, :, -1] - views[:, :, 0]
        assert 1.0 < rise.mean() < 2.0


def test_dbd_trusts_the_lowest_losses_of_every_class():
    losses = np.array([5.0, 1, 4, 2, 9, 8])
    codes = np.array([0, 0, 0, 0, 1, 2])
    mask = lowest_of_classes(losses, codes, 0.5)
    np.testing.assert_array_equal(mask, [False, True, False, True, True, True])


def test_dbd_learns_labels_of_trusted_samples_only():
    _, codes, (_, _, indices, targets) = batch_of()
    semi = SemiSupervision(np.arange(9.0), codes, 0.5, 15.0, 1)
    X = torch.randn(9, 1, 12)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    semi.before_epoch(targets, records=type("Records", (), {"epochs": []}))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        loss, records = semi.objective(network, X, indices, targets)
    # In the first epoch the unlabelled part has no weight yet.
    np.testing.assert_allclose(
        loss.item(), (records["main_loss"].detach().numpy() * semi.trusted).sum() / 9, rtol=1e-5
    )


def test_fine_pruning_cuts_the_channels_that_clean_series_excite_least(trained):
    network, inputs, _ = trained
    with torch.no_grad():
        maps = network.backbone.convblock3(
            network.backbone.convblock2(network.backbone.convblock1(inputs[:7]))
        )
    activation = maps.numpy().astype(np.float64).mean(axis=(0, 2))
    order = dormant_first(network.backbone, inputs[:7])
    np.testing.assert_allclose(activation[order], np.sort(activation), atol=1e-7)


def test_fine_pruning_keeps_pruned_channels_cut_off(waves):
    X, y = waves
    classifier = make("fine_pruning", n_epochs=8, clean_indices=range(9), accuracy_drop=0.2)
    classifier.fit(X, y)
    pruned = classifier.pruned_channels_
    assert 0 < len(pruned) < 128
    weights = classifier.network_.backbone.fc.weight.detach().numpy()
    assert (weights[:, pruned] == 0).all()
    assert (np.delete(weights, pruned, axis=1) != 0).all()


def test_fine_pruning_stops_before_the_accuracy_suffers(waves):
    X, y = waves
    settings = {"n_epochs": 8, "clean_indices": range(30)}
    strict = make("fine_pruning", accuracy_drop=0.0, **settings).fit(X, y).pruned_channels_
    loose = make("fine_pruning", accuracy_drop=0.5, **settings).fit(X, y).pruned_channels_
    assert len(strict) < len(loose)
    np.testing.assert_array_equal(strict, loose[: len(strict)])
    # By hand: the strict number of channels costs nothing, one more costs accuracy.
    plain = StandardClassifier("fcn", n_epochs=8, random_state=0).fit(X, y)
    accuracy = plain.score(X[:30], y[:30])
    weights = plain.network_.backbone.fc.weight.data
    weights[:, loose[: len(strict)]] = 0
    assert plain.score(X[:30], y[:30]) >= accuracy
    weights[:, loose[len(strict)]] = 0
    assert plain.score(X[:30], y[:30]) < accuracy


@pytest.mark.parametrize(
    "backbone",
    [
        nn.Sequential(nn.Flatten(), nn.Linear(48, 3), nn.LogSoftmax(dim=1)),
        nn.Sequential(nn.Conv1d(2, 3, 24), nn.Flatten()),
    ],
)
def test_fine_pruning_refuses_a_network_without_a_last_linear_layer(backbone, waves):
    with pytest.raises(ValueError, match=r"backbone must end in a torch.nn.Linear"):
        make("fine_pruning", backbone=backbone).fit(*waves)


def test_nad_attention_by_the_formula():
    features = np.random.default_rng(0).normal(size=(3, 4, 5))
    expected = np.zeros((3, 5))
    for i in range(3):
        for t in range(5):
            expected[i, t] = sum(abs(features[i, c, t]) ** 2 for c in range(4))
        expected[i] /= np.sqrt((expected[i] ** 2).sum())
    np.testing.assert_allclose(attention(torch.from_numpy(features), 2.0), expected, rtol=1e-5)


def test_nad_lowers_cross_entropy_and_the_difference_to_the_teacher(trained):
    network, inputs, codes = trained
    targets = Targets.from_labels(codes, torch.device("cpu"))
    call = network.eval(), inputs[:8], torch.arange(8), targets
    plain = cross_entropy(network(inputs[:8]).detach().numpy(), codes[:8]).mean()
    itself, _ = distillation(network.backbone, ["convblock2"], 1000.0, 2.0)(*call)
    np.testing.assert_allclose(itself.item(), plain, rtol=1e-4)

    teacher = clone_of(network.backbone, scale=0.5)
    loss, _ = distillation(teacher, ["convblock1", "convblock2"], 1000.0, 2.0)(*call)
    expected = plain
    for depth in ("convblock1", "convblock2"):
        maps = []
        for one in (network.backbone, teacher):
            output = one.convblock1(inputs[:8])
            output = one.convblock2(output) if depth == "convblock2" else output
            energy = (output.detach().numpy().astype(np.float64) ** 2).sum(axis=1)
            maps.append(energy / np.sqrt((energy**2).sum(axis=1, keepdims=True)))
        expected += 1000 * ((maps[0] - maps[1]) ** 2).mean()
    assert loss.item() > plain + 0.1
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-3)


def clone_of(module, scale):
    """Return a copy with other weights in its first layer."""
    import copy

    copied = copy.deepcopy(module).eval()
    with torch.no_grad():
        weight = copied.convblock1[0].weight
        weight += scale * torch.linspace(-1, 1, weight.numel()).reshape(weight.shape)
    return copied


def test_spectral_scores_against_the_covariance():
    features = np.random.default_rng(0).normal(size=(30, 6)) @ np.diag([3, 1, 1, 1, 1, 0.5]) + 7
    covariance = np.cov(features.T, bias=True)
    _, vectors = np.linalg.eigh(covariance)
    projected = (features - features.mean(axis=0)) @ vectors[:, -1]
    np.testing.assert_allclose(spectral_scores(features), projected**2, rtol=1e-8)


def test_spectral_drops_the_same_share_of_every_class(waves):
    X, y = waves
    classifier = make("spectral", drop_rate=0.17).fit(X, y)
    assert [classifier.suspect_mask_[y == label].sum() for label in set(y)] == [3, 3, 3]
    for label in set(y):
        scores, dropped = classifier.suspicion_[y == label], classifier.suspect_mask_[y == label]
        assert scores[dropped].min() >= scores[~dropped].max()


def test_clusters_against_singular_vectors_and_two_means():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 8)) * np.linspace(1, 2, 8)
    features[:12, :4] += 4
    smaller, silhouette = two_clusters(features, 3, seed=0)
    centred = features - features.mean(axis=0)
    reduced = centred @ np.linalg.svd(centred, full_matrices=False)[2][:3].T
    clusters = KMeans(2, n_init=10, random_state=0).fit_predict(reduced)
    np.testing.assert_array_equal(smaller, clusters == clusters[0])
    np.testing.assert_array_equal(np.flatnonzero(smaller), np.arange(12))
    distances = np.linalg.norm(reduced[:, None] - reduced, axis=2)
    for i in (0, 30):
        own = clusters == clusters[i]
        inside, outside = distances[i, own].sum() / (own.sum() - 1), distances[i, ~own].mean()
        expected = (outside - inside) / max(inside, outside)
        assert silhouette[i] == pytest.approx(expected)


def test_clustering_leaves_even_and_small_classes_alone(waves, monkeypatch):
    X, y = waves
    halves = lambda features, *_: (np.arange(len(features)) % 2 == 0, np.full(len(features), 0.9))  # noqa: E731
    monkeypatch.setattr("tsguard.defenses._clustering.two_clusters", halves)
    assert not make("clustering").fit(X, y).suspect_mask_.any()
    assert make("clustering", max_share=0.5).fit(X, y).suspect_mask_.sum() == 30
    assert not make("clustering", max_share=0.5).fit(X[:15], y[:15]).suspect_mask_.any()
    assert not (
        make("clustering", max_share=0.5, min_silhouette=0.95).fit(X, y).suspect_mask_.any()
    )


def test_strip_entropy_against_a_loop(trained):
    network, inputs, _ = trained
    inputs = inputs[:6]
    entropy = overlay_entropy(network, inputs, 3, np.random.default_rng(5))
    rng, expected = np.random.default_rng(5), np.zeros(6)
    for _ in range(3):
        others = rng.integers(6, size=6)
        for i in range(6):
            with torch.no_grad():
                logits = network((inputs[i] + inputs[others[i]])[None])[0].double().numpy()
            p = np.exp(logits) / np.exp(logits).sum()
            expected[i] -= sum(value * np.log2(value) for value in p) / 3
    np.testing.assert_allclose(entropy, expected, atol=1e-5)


def test_strip_drops_the_lowest_entropies(waves):
    X, y = waves
    classifier = make("strip", n_overlays=3, drop_rate=0.1).fit(X, y)
    lowest_entropy = np.argsort(-classifier.suspicion_)[:6]
    assert sorted(lowest_entropy) == sorted(np.flatnonzero(classifier.suspect_mask_))
    assert (classifier.suspicion_ <= 0).all()
    assert (classifier.suspicion_ >= -np.log2(3)).all()


def test_confident_learning_says_what_cleanlab_says(waves):
    filters = pytest.importorskip("cleanlab.filter")
    X, y = waves
    wrong = y.copy()
    wrong[:4] = np.roll(np.unique(y), 1)[np.searchsorted(np.unique(y), y[:4])]
    classifier = make("confident", n_epochs=12).fit(X, wrong)
    assert classifier.suspect_mask_[:4].all()
    assert classifier.suspect_mask_.sum() <= 8
    # The same by hand: a network per fold, its probabilities for what it did not see.
    codes = np.searchsorted(classifier.classes_, wrong)
    folds = draw_folds(codes, 2, numpy_stream(0, "folds"))
    probabilities = np.empty((60, 3))
    for fold in range(2):
        seen = folds != fold
        network = StandardClassifier("fcn", n_epochs=12, random_state=0)
        network.fit(X[seen], wrong[seen])
        network.scale_ = classifier.scale_
        probabilities[~seen] = network.predict_proba(X[~seen])
    believed = 1 - probabilities[np.arange(60), codes]
    assert np.corrcoef(believed, classifier.suspicion_)[0, 1] > 0.9
    flagged = filters.find_label_issues(codes, probabilities, n_jobs=1)
    assert (flagged == classifier.suspect_mask_).mean() > 0.9


def test_folds_deal_out_every_class():
    codes = np.repeat([0, 1, 2], [7, 5, 1])
    folds = draw_folds(codes, 3, np.random.default_rng(0))
    assert np.bincount(folds).tolist() == [5, 4, 4]
    assert sorted(np.bincount(folds[codes == 0])) == [2, 2, 3]
    assert sorted(np.bincount(folds[codes == 1])) == [1, 2, 2]


def test_confident_learning_without_cleanlab(waves, monkeypatch):
    monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
    with pytest.raises(ImportError, match=r"cleanlab must be .*pip install tsguard\[bench\]"):
        get_defense("confident", backbone="fcn", n_epochs=1).fit(*waves)
