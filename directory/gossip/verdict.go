package gossip

// VerdictCode tells a relay what a node did with its descriptor (SPEC.md §6.5).
type VerdictCode byte

// The verdicts.
const (
	VerdictHeld        VerdictCode = 0
	VerdictMalformed   VerdictCode = 1
	VerdictSignature   VerdictCode = 2
	VerdictExpired     VerdictCode = 3
	VerdictClock       VerdictCode = 4
	VerdictOld         VerdictCode = 5
	VerdictAddress     VerdictCode = 6
	VerdictNoToken     VerdictCode = 7
	VerdictToken       VerdictCode = 8
	VerdictTokenUsed   VerdictCode = 9
	VerdictPrefix      VerdictCode = 10
	VerdictFull        VerdictCode = 11
	VerdictRate        VerdictCode = 12
	VerdictUnreachable VerdictCode = 13
	VerdictOther       VerdictCode = 14
	verdictLast                    = VerdictOther
)

// String says in words, for the operator of a relay, what a verdict means.
func (c VerdictCode) String() string {
	switch c {
	case VerdictHeld:
		return "held"
	case VerdictMalformed:
		return "refused: the descriptor is malformed"
	case VerdictSignature:
		return "refused: a signature does not verify"
	case VerdictExpired:
		return "refused: the descriptor has expired"
	case VerdictClock:
		return "refused: this relay's clock is ahead"
	case VerdictOld:
		return "refused: a newer descriptor is known"
	case VerdictAddress:
		return "refused: the address is not reachable from the internet"
	case VerdictNoToken:
		return "refused: this network wants a relay token"
	case VerdictToken:
		return "refused: the relay token is not valid or has expired"
	case VerdictTokenUsed:
		return "refused: the relay token was used up"
	case VerdictPrefix:
		return "refused: too many relays at nearby addresses"
	case VerdictFull:
		return "refused: the directory is full"
	case VerdictRate:
		return "refused: published too often"
	case VerdictUnreachable:
		return "not listed: the directory could not reach this relay at its address"
	}
	return "refused"
}
