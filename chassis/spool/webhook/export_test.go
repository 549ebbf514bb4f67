package webhook

// Outcome says what an answer means.
var Outcome = outcome
