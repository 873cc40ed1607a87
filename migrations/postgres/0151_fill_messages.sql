-- An acceptance writes its row anew on the page that it lies on, where there is room. Those of one group are neighbours, so
-- that a page needs room for all of its own at once; without it they would fill other pages, and leave these to the vacuum.
ALTER TABLE messages SET (fillfactor = 50);
