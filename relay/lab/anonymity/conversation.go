package anonymity

import (
	"math"
	"math/rand/v2"
	"time"
)

// Implementation constants: how people talk. Together they make about 35
// messages an hour each way in a conversation that lasts, which is about 141
// cells of messages an hour and direction on each client link, its answers and
// acknowledgements included (measured, see the report of the laboratory).
const (
	quietMean    = 12 * time.Minute // between two stretches of conversation, unless it is said
	turnsMean    = 12               // of one stretch
	messagesMean = 1.8              // of one turn
	replyMedian  = 14 * time.Second // until the other side begins its turn
	replySpread  = 0.8              // of the logarithm
	typingMedian = 6 * time.Second  // between two messages of a turn
	typingSpread = 0.6

	ackMin = 2 * time.Second // a receiver acknowledges after a random time
	ackMax = 30 * time.Second
)

// Line is one message of a conversation.
type Line struct {
	At   time.Duration // from the start
	From int           // 0 or 1
}

// Conversation draws what two people say to each other in a time: stretches of
// turns of a few messages, with quiet between them, which lasts 12 minutes on
// average if quiet is 0.
func Conversation(rnd *rand.Rand, length, quiet time.Duration) []Line {
	if quiet == 0 {
		quiet = quietMean
	}
	var lines []Line
	at := time.Duration(rnd.ExpFloat64() * float64(quiet))
	for at < length {
		from := rnd.IntN(2)
		for turn := true; turn; turn = rnd.Float64() > 1.0/turnsMean {
			for more := true; more; more = rnd.Float64() > 1/messagesMean {
				if at >= length {
					return lines
				}
				lines = append(lines, Line{at, from})
				at += logNormal(rnd, typingMedian, typingSpread)
			}
			at += logNormal(rnd, replyMedian, replySpread)
			from = 1 - from
		}
		at += time.Duration(rnd.ExpFloat64() * float64(quiet))
	}
	return lines
}

func logNormal(rnd *rand.Rand, median time.Duration, spread float64) time.Duration {
	return time.Duration(float64(median) * math.Exp(rnd.NormFloat64()*spread))
}
