package tui

// FramesPerSecond is how often the screen is drawn at most. At the 60 of the
// library a key waits up to 16.7 ms for its frame, which is more than the whole
// way of a key to the screen may take.
const FramesPerSecond = 120
