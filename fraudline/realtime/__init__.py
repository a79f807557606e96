"""The real-time Lambda: a transaction in, the decision out, by the same bundle, features and scorer as the stream.

Nothing here, nor what it imports, needs numpy, pandas, scikit-learn, Prefect or pydantic: a test imports it and looks.
"""
