"""Word lists as data: clinical words that stay, common words that mostly stay, names that go."""
