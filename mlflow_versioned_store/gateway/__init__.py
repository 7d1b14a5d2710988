"""A read-only S3 endpoint: every version of every path of a store as an S3 object version, for tools that speak S3."""
