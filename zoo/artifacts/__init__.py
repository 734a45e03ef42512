"""What a run leaves behind: its folder and record, the saved model, and a predictor for it."""
