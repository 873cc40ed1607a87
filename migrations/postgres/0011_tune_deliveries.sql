-- Room on every page, so that a claim stays on the row's own and writes no index.
ALTER TABLE deliveries SET (fillfactor = 70);
