package unpack

// What there is of formats, for tests that go through all of them.
var (
	Formats      = formats
	Compressions = compressions
)
