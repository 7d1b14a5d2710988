"""The MLflow artifact repository; the only part of the package that imports MLflow.

repository      what MLflow calls
tree            the part of a store that one repository sees, across artifact roots
paths           artifact URIs and paths as MLflow passes them, made clean or refused
sources         local files and folders, as items of one change
destinations    where downloads land on the local disk
streams         request bodies, kept until they are complete
progress        MLflow's progress bar
locating        where the artifacts of a run or model are
tracking        the runs, models and traces that MLflow knows
failures        our errors as MLflow's
"""
