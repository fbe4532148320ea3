"""Parts of scripts/site-check."""
