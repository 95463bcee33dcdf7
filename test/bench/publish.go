package main

// publishedDir is where the results that the documents show are kept.
const publishedDir = "docs/benchmark"
