"""The public Python API; the package itself offers its names, as `import mlflow_versioned_store as mvs`.

opening     stores, artifact roots and files by their URIs
stores      a store, and an artifact root with all that can be done in one
comparing   what a comparison compares
listings    entries of listings
batches     many changes in one commit
downloads   versions as local files, none of which is overwritten unasked
uploads     what can be uploaded, as items of one change
"""
