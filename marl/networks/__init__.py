"""Networks: stacked layers, actors, critics, normalisation, and the policy made of them."""
