"""tsguard_vision: the same defense for images, on tsguard's engine (planned, see CHANGELOG)."""
