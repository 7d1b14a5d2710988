"""Tests of the content layer, mirroring mlflow_versioned_store/content/."""
