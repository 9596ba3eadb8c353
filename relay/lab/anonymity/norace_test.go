//go:build !race

package anonymity

// shortPairs is how many pairs the short gate observes.
const shortPairs = 30

// syntheticPairs is how many pairs each world has on which the attacks are
// tried.
const syntheticPairs = 20
