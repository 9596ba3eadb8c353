//go:build race

package anonymity

// shortPairs is how many pairs the short gate observes: the race detector makes
// everything several times slower, and judges no statistics.
const shortPairs = 6
