"""Features: defined once (`definition`), computed over columns (`offline`) or one by one (`online`), same bits."""
