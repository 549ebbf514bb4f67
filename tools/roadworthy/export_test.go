package roadworthy

var Section = section
