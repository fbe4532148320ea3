//! Marks: sets of ink pixels that touch.

/// Calls `visit` with every mark of an image `width` pixels wide, as pixel indexes. Pixels that touch at a corner
/// belong to one mark. Afterwards `inked` is all `false`.
pub fn for_each_mark(inked: &mut [bool], width: usize, mut visit: impl FnMut(&[usize])) {
    any_mark(inked, width, |mark| {
        visit(mark);
        false
    });
}

/// Whether `is_wanted` returns `true` for any mark. The search stops there.
pub fn any_mark(inked: &mut [bool], width: usize, mut is_wanted: impl FnMut(&[usize]) -> bool) -> bool {
    let width = width.max(1);
    let height = inked.len() / width;
    let mut mark = Vec::new();
    for start in 0..height * width {
        if !std::mem::take(&mut inked[start]) {
            continue;
        }
        mark.clear();
        mark.push(start);
        let mut next = 0;
        while let Some(&pixel) = mark.get(next) {
            next += 1;
            let (x, y) = (pixel % width, pixel / width);
            for near_y in y.saturating_sub(1)..(y + 2).min(height) {
                for near_x in x.saturating_sub(1)..(x + 2).min(width) {
                    let near = near_y * width + near_x;
                    if std::mem::take(&mut inked[near]) {
                        mark.push(near);
                    }
                }
            }
        }
        if is_wanted(&mark) {
            return true;
        }
    }
    false
}

/// Width and height in pixels of a mark in an image `width` pixels wide.
pub fn extent(mark: &[usize], width: usize) -> (usize, usize) {
    let width = width.max(1);
    let span = |values: &mut dyn Iterator<Item = usize>| {
        let (least, most) = values.fold((usize::MAX, 0), |(least, most), value| (least.min(value), most.max(value)));
        most.saturating_sub(least) + usize::from(!mark.is_empty())
    };
    (span(&mut mark.iter().map(|pixel| pixel % width)), span(&mut mark.iter().map(|pixel| pixel / width)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_that_touch_at_a_corner_are_one_mark() {
        let drawing = ["#...", ".#.#", "...#"];
        let mut inked: Vec<bool> = drawing.concat().chars().map(|pixel| pixel == '#').collect();
        let mut marks = Vec::new();
        for_each_mark(&mut inked, 4, |mark| marks.push((mark.len(), extent(mark, 4))));
        assert_eq!(marks, [(2, (2, 2)), (2, (1, 2))]);
        assert!(!inked.contains(&true));
    }

    #[test]
    fn an_image_without_pixels_has_no_marks() {
        for_each_mark(&mut [], 0, |_| panic!("a mark"));
        assert_eq!(extent(&[], 0), (0, 0));
    }
}
