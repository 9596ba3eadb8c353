package directory

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// badInput lists what others can send or leave on the disk, and where it is tried:
// package, from this directory, and test. Forgeries of each kind of document are
// in forgery_test.go.
var badInput = map[string][]string{
	"non-canonical encodings": {
		". TestOnlyCanonicalCBORIsRead", ". TestOtherEncodingsOfOneDocumentFail", ". TestCutAndPaddedDocumentsFail",
	},
	"oversize records":             {"gossip TestAttackOversize", ". TestCutAndPaddedDocumentsFail"},
	"changed bits":                 {". TestAnyFlippedBitFails", ". TestAnyFlippedBitOfADraftFails", ". TestAnyFlippedBitOfAnEmergencyDraftFails"},
	"documents of another type":    {". TestSignaturesOfAnotherTypeFail"},
	"documents of another network": {". TestDocumentsOfAnotherNetworkFail", "gossip TestClientRefusesAnotherNetwork", ". TestDraftOfAnotherNetwork"},
	"clocks":                       {"gossip TestSlowClockIsProven", "gossip TestClockSkewOfRelays", "signer TestSkewedSigner", "gossip TestStrangersSetNoClock"},
	"forged tokens":                {"sybil TestAttackForgedTokenOfAListedStranger", ". TestAttackTokenReplayedFromGossip", "sybil TestAttackTokenReplayedFromGossip"},
	"replayed descriptors":         {"gossip TestOldRecordCannotBeReplayed"},
	"a signer that votes twice":    {". TestTwoVotesAreProven", "sybil TestAttackASignerVotesTwice", "gossip TestTwoVotesAreEvidence"},
	"a withheld vote":              {"signer TestWithheldVote", "signer TestOneHistoryWhateverIsLost"},
	"a late vote":                  {"signer TestLateVoteIsRefused"},
	"two snapshots of an epoch":    {". TestEquivocationIsProven", "signer TestEquivocatingSigner", "../relay/lab TestAttackFounderEquivocates"},
	"a snapshot of another network": {
		". TestSnapshotOfAnotherNetworkIsRefused",
	},
	"a rolled-back snapshot": {". TestSnapshotOfAnOlderEpochIsRefused", ". TestForkedHistoryIsRefused", "gossip TestAttackWithheldSnapshots"},
	"a corrupt store": {
		"gossip TestArchiveFileDamaged", "gossip TestArchiveValuesDamaged", "gossip TestRecordsFileDamaged", "gossip TestStoreFileDamaged",
		"gossip TestClientStateDamaged", "gossip TestNodeRecoversFromDamage",
		"signer TestDamagedBookIsRefused", "signer TestDamagedPagesTellOnEachOther", "../relay TestDamagedKeyIsRefused",
	},
	"founders who sign what signers never said": {". TestFoundersCannotChangeWhatSignersSaid", ". TestEmergencySignatures"},
}

// TestBadInputIsTried fails if a test of the list is gone.
func TestBadInputIsTried(t *testing.T) {
	sources := map[string]string{}
	for input, tests := range badInput {
		for _, test := range tests {
			dir, name, _ := strings.Cut(test, " ")
			if _, read := sources[dir]; !read {
				sources[dir] = testSources(t, dir)
			}
			if !strings.Contains(sources[dir], "\nfunc "+name+"(t *testing.T) {") {
				t.Errorf("%s: %s has no test %s", input, dir, name)
			}
		}
	}
}

func testSources(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	check(t, err)
	var all strings.Builder
	for _, f := range files {
		b, err := os.ReadFile(f)
		check(t, err)
		all.Write(b)
	}
	return all.String()
}
