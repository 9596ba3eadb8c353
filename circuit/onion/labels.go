package onion

// Domain-separation labels.
const (
	labelHop = "hearsay/1 hop"
	labelKEM = "hearsay/1 kem"
	labelPSK = "hearsay/1 mlkem768 psk2"
)
