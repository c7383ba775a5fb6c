"""For plugin authors and for this project's own tests. Nothing in the rest of duravip imports it."""
