//go:build !race

package link

// raceDetector tells that these tests run several times as slowly.
const raceDetector = false
