//go:build !race

package circuit_test

// raceDetector says that everything takes many times as long.
const raceDetector = false
