"""The scaler daemon."""
