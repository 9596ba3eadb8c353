// Package anonymity is the laboratory for traffic analysis. It runs whole
// networks in virtual time, writes down what observers see of them, and lets
// attacks decide who talks with whom.
//
// # What runs
//
// A World is a network of relays and clients over relay/lab's SimNet: real
// QUIC, real links with their cover profile, real switches, and real client
// pools with their guards, spare circuits, PINGs and renewals. Mailbox relays
// run a service of the laboratory, which keeps a block until it is
// acknowledged as relay/mailbox does, but asks for no proof of work and keeps
// nothing on disk. Two clients of a pair hold a conversation (Conversation):
// each message is one SEND with its OK, one push with its ACK, and some seconds
// later the acknowledgement of the other side takes the same way back. Idle
// pairs hold the same circuits and subscriptions and say nothing.
//
// A second test runs whole messengers of package chat over a network with its
// directory. They cost seconds of proof of work each, so they are fewer.
//
// # What is observed
//
//   - Of each client link, everything that somebody on the wire sees: time,
//     size and direction of each packet (Trace).
//   - Of each client, what its guard sees: times of circuit cells (Insider).
//   - Of each queue, what its mailbox relay sees: times at which blocks came
//     and were pushed.
//   - Of each link between relays, time, size and direction of each packet.
//
// Beside the worlds, Discover runs the selection of paths alone, to count the
// circuits after which a hostile mailbox relay has seen every relay but the
// guard as the middle.
//
// The network adds no jitter, no loss and no foreign traffic, and the attacker
// sees both ends of every conversation for the whole time: it is the
// attacker's best case. The attacker also delays the packets that the first
// client of each pair sends, by 200 ms on and off by a secret code, in all
// worlds unless it is switched off; hence all attacks are made on marked links.
//
// # How attacks are judged
//
// An attack gives a score to two client links. Scores of true pairs are
// compared with those of decoys: a true first link with second links of other
// pairs. AUC is the chance that a true pair scores higher, ties counting half;
// the true-positive rate is taken at the threshold that at most one decoy in a
// thousand exceeds. Both are printed with confidence bounds. An attack that
// cannot reach an AUC of 0.85 in the profile off is too weak to say anything
// about the others, and fails the test.
//
// # What it does not show
//
// Pairs are online for the whole time: who looks when people come and go, over
// days, learns from that whatever the profile. The attacks are classical
// correlators, not trained networks; that matters in the profile off, where the
// figures are a lower bound, and less under a fixed schedule, where cells carry
// no information that training could find. Absolute figures depend on the model
// of conversations. A guard sees the cells behind the cover by design: the rows
// of insiders say how much two guards together see.
package anonymity
