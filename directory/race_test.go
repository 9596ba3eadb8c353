//go:build race

package directory

// flipStep leaves out most of the bits that tests flip: the race detector makes
// each several times as expensive, and finds the same in the next one.
const flipStep = 13
