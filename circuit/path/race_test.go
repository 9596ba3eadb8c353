//go:build race

package path

// manyPaths is how many paths the tests of rules draw; the race detector makes
// each about ten times slower.
const manyPaths = 50_000
