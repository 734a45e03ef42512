"""One file a verb, each the story of that verb."""
