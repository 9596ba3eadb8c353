package chat

// Keys of log attributes. Ids, links, names, texts and addresses are never
// logged, nor times finer than a day.
const (
	errorKey  = "error"
	kindKey   = "kind"
	stepKey   = "step"
	countKey  = "count"
	reasonKey = "reason"
)
