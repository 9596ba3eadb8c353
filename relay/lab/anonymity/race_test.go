//go:build race

package anonymity

// shortPairs is how many pairs the short gate observes: the race detector makes
// everything several times slower, and judges no statistics.
const shortPairs = 3

// syntheticPairs is how many pairs each world has on which the attacks are
// tried: all are compared with all, in one goroutine.
const syntheticPairs = 10
