package gossip

import (
	"errors"

	"hearsay/directory"
)

// VerdictCode tells a relay what a node did with its descriptor (SPEC.md §6.5).
type VerdictCode byte

// The verdicts.
const (
	VerdictHeld         VerdictCode = 0
	VerdictMalformed    VerdictCode = 1
	VerdictSignature    VerdictCode = 2
	VerdictExpired      VerdictCode = 3
	VerdictClock        VerdictCode = 4
	VerdictOld          VerdictCode = 5
	VerdictAddress      VerdictCode = 6
	VerdictNoToken      VerdictCode = 7
	VerdictToken        VerdictCode = 8
	VerdictTokenUsed    VerdictCode = 9
	VerdictPrefix       VerdictCode = 10
	VerdictFull         VerdictCode = 11
	VerdictRate         VerdictCode = 12
	VerdictUnreachable  VerdictCode = 13
	VerdictOther        VerdictCode = 14
	VerdictClosed       VerdictCode = 15
	VerdictIssuer       VerdictCode = 16
	VerdictNoVouch      VerdictCode = 17
	VerdictVouch        VerdictCode = 18
	VerdictVoucher      VerdictCode = 19
	VerdictYoungVoucher VerdictCode = 20
	VerdictVouchUsed    VerdictCode = 21
	VerdictNoWork       VerdictCode = 22
	VerdictOldWork      VerdictCode = 23
	VerdictWork         VerdictCode = 24
	VerdictExcluded     VerdictCode = 25
	VerdictWaiting      VerdictCode = 26
	VerdictProtocol     VerdictCode = 27
	VerdictCrowd        VerdictCode = 28
	verdictLast                     = VerdictCrowd
)

// verdictWords say in words, for the operator of a relay, what a verdict means.
var verdictWords = [verdictLast + 1]string{
	VerdictHeld:         "held",
	VerdictMalformed:    "refused: the descriptor is malformed",
	VerdictSignature:    "refused: a signature does not verify",
	VerdictExpired:      "refused: the descriptor has expired",
	VerdictClock:        "refused: this relay's clock is ahead",
	VerdictOld:          "refused: a newer descriptor is known",
	VerdictAddress:      "refused: the address is not reachable from the internet",
	VerdictNoToken:      "refused: this network wants a relay token",
	VerdictToken:        "refused: the relay token is not valid or has expired",
	VerdictTokenUsed:    "not listed: the relay token was used up",
	VerdictPrefix:       "not listed: too many relays at nearby addresses",
	VerdictFull:         "refused: the directory is full",
	VerdictRate:         "refused: published too often",
	VerdictUnreachable:  "not listed: the directory could not reach this relay at its address",
	VerdictOther:        "not listed, or refused for another reason",
	VerdictClosed:       "refused: the network is closed and its file does not name this relay",
	VerdictIssuer:       "refused: who issued the relay token may not invite relays, or not any more",
	VerdictNoVouch:      "refused: this network wants the vouch of an operator of listed relays",
	VerdictVouch:        "refused: a vouch is not valid, has expired, or is for another relay",
	VerdictVoucher:      "refused: nobody who vouches for this relay has a listed relay",
	VerdictYoungVoucher: "not listed: nobody who vouches for this relay has one that is listed for 30 days",
	VerdictVouchUsed:    "not listed: who vouches for this relay has vouched for three others in 90 days",
	VerdictNoWork:       "refused: this network wants a proof of work",
	VerdictOldWork:      "refused: the proof of work is too old",
	VerdictWork:         "refused: the proof of work is too easy or not this relay's",
	VerdictExcluded:     "not listed: most signers exclude this relay",
	VerdictWaiting:      "not listed for a while: too many new relays came at its address, or its score is too high",
	VerdictCrowd:        "refused: too many other relays show the same token or voucher",
	VerdictProtocol:     "not listed: this relay's program is too old for the network",
}

// String says in words, for the operator of a relay, what a verdict means.
func (c VerdictCode) String() string {
	if c > verdictLast {
		return "refused"
	}
	return verdictWords[c]
}

// refusals are the verdicts on errors of package directory, the first that fits
// counting: those behind ErrNotAdmitted before others.
var refusals = []struct {
	err  error
	code VerdictCode
}{
	{directory.ErrNotInFile, VerdictClosed},
	{directory.ErrNoToken, VerdictNoToken},
	{directory.ErrNoVouch, VerdictNoVouch},
	{directory.ErrNoWork, VerdictNoWork},
	{directory.ErrNoIssuer, VerdictIssuer},
	{directory.ErrBadToken, VerdictToken},
	{directory.ErrTokenUsed, VerdictTokenUsed},
	{directory.ErrBadVouch, VerdictVouch},
	{directory.ErrNoVoucher, VerdictVoucher},
	{directory.ErrYoungVoucher, VerdictYoungVoucher},
	{directory.ErrVouchUsed, VerdictVouchUsed},
	{directory.ErrOldWork, VerdictOldWork},
	{directory.ErrBadWork, VerdictWork},
	{directory.ErrNotAdmitted, VerdictOther},
	{directory.ErrSignature, VerdictSignature},
	{directory.ErrExpired, VerdictExpired},
	{directory.ErrFuture, VerdictClock},
	{directory.ErrBadAddress, VerdictAddress},
}

// VerdictOf maps the reason why a record does not verify, or is not listed, to a
// verdict.
func VerdictOf(err error) VerdictCode {
	var refused *RefusedError
	if errors.As(err, &refused) {
		return refused.Verdict
	}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return r.code
		}
	}
	return VerdictMalformed
}

// convicts tells whether a record that is refused so must not have come from a
// peer: peers forward only what they verified. A relay's own record may be merely
// of another program version, or its work of an older network file.
func (c VerdictCode) convicts(own bool) bool {
	return c == VerdictSignature || !own && (c == VerdictMalformed || c == VerdictWork)
}
