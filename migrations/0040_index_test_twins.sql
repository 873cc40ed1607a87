-- An account has one test twin at most, and it is found by its parent.
CREATE UNIQUE INDEX accounts_test_twin ON accounts (parent_id) WHERE mode = 'test';
