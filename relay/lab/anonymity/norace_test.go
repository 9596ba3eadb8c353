//go:build !race

package anonymity

// shortPairs is how many pairs the short gate observes.
const shortPairs = 30
