//go:build !race

package directory

const flipStep = 1
