//go:build !race

package signer

// raceDetector tells that these tests run several times as slowly.
const raceDetector = false
