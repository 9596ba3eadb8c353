//go:build race

package lab_test

// raceDetector says that everything takes many times as long: what is measured
// many times elsewhere is done once.
const raceDetector = true
