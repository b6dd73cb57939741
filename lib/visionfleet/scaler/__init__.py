"""The scaler: observation, decision, execution, and leader election."""
