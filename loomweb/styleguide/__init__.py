"""The style guide: every component in every state, drawn by the partials that the pages use."""
