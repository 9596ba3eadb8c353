package mailbox

// Keys of log attributes.
const logError = "error"
