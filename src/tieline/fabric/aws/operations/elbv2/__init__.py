"""Operations on load balancers, listeners, target groups and targets."""
