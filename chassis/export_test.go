package chassis

// VersionOf is for builds that a test binary is not.
var VersionOf = versionOf
