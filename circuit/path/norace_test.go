//go:build !race

package path

// manyPaths is how many paths the tests of rules draw.
const manyPaths = 1_000_000
