//go:build race

package gossip

// raceDetector tells that these tests run several times as slowly.
const raceDetector = true
