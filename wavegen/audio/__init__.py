"""Sound in and out: files, mu-law codes, and what can be measured."""
