"""The textbook's tables, reproduced: `python -m zoo lesson NAME` prints published figures beside ours."""
